"""One file, a folder or a batch of files through one verb: for the shell, the page and a cluster."""
