//! Joins against a naive reference.
