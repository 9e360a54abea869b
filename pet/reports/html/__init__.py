"""The report of a run: one HTML file that needs nothing else, found in the run's files and drawn by templates.

`read_report` finds, `draw` shows; a section is a function in `pet/reports/html/sections.py` and a template in
`pet/reports/html/templates/sections/`. `pet/reports/html/page.py` says how to add one.
"""
