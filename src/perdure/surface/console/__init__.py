"""The console: the whole system in a browser, each page with its JSON twin, each deed on the record of who did it.

`app.make_app` serves what `areas` lists. An area is a package of its own: `PAGES` and `DEEDS` in its `__init__`, views that make
frozen records of plain values, templates that draw them and nothing else. No page reads 10,000 assets from stores: the board in
memory (`boards`) holds what every page begins with.
"""
