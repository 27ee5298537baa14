"""Files to files: one short module a pipeline, and the engine that runs them."""
