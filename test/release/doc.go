// Package release holds the packages to what an operator trusts them for: that
// they are the same from every build, that what they install is what it should
// be, and that the check is never missing while they are replaced.
//
//	make package-test
//
// builds them as 'make release' does and looks at the result (build tag
// release). It runs as root: packages are installed into roots of their own.
package release
