"""SAE J1939 as far as Headframe speaks it: ids, slots, and the codec of its parameter groups."""
