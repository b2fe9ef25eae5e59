"""One scenario many times: the runs, who does them, and what is left of them."""
