// Command hacheck decides whether a node of a keepalived + HAProxy pair should
// hold the VIP, and tells people when keepalived moved it.
package main

import (
	"os"
	"time"
)

func main() {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, started: time.Now()}
	os.Exit(int(a.main(os.Args[1:])))
}
