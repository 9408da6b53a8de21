//go:build race

package main

// killedHooks is fewer than without the race detector, under which a hook takes
// several times as long.
const killedHooks = 200
