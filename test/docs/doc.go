// Package docs holds the tests that keep the documentation true: they follow
// its links, type its commands on a node made for the purpose, load the
// configurations it shows, and compare its tables with the code they speak of.
package docs
