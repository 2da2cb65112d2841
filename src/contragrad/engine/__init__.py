"""Effects: the memo, the executors and the loop; knows nothing of networks."""
