"""The page: served as files, read by :func:`operator_console.shell.web.load_assets`."""
