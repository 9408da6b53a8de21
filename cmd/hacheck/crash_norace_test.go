//go:build !race

package main

// killedHooks is how many hooks the crash test kills.
const killedHooks = 1000
