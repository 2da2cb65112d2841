"""What `contragrad COMMAND` takes and prints, a module for each kind of job."""
