"""One verb for one file, a folder or a batch of files: for the shell, the page and a cluster."""
