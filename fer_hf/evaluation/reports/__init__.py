"""Reports: of runs, of checkpoints and of their comparison, as data, tables, plots and a page."""
