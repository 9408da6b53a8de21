// Package contributing holds the test of CONTRIBUTING.md: the examples in it are
// put into a copy of the program, which is built, tested and run with them.
package contributing
