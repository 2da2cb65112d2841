"""Who watches a run: events as plain values, and what each watcher makes of them."""
