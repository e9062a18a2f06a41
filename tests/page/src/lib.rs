//! Nothing: the tests of the status page are in `browser`. `.ci/page` runs them.
