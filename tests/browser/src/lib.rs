//! Nothing: the tests of the application in a browser are in `it`. `.ci/browser` runs them.
