"""Charts as SVG text, coloured by the page's style sheet so that they follow light and dark."""
