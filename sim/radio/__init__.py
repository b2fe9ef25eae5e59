"""Radio by place: which antenna a machine hears where, and what that does to its link."""
