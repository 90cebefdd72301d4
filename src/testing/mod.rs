//! A strict LangSmith receiver on loopback, for tests and examples.
