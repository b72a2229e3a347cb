"""One file per engine; each turns a model folder into a `Model`."""
