package main

import (
	"errors"
	"fmt"

	"hacheck/checks"
)

// exitCode is what keepalived and scripts learn. The numbers are a contract.
type exitCode int

// The exit codes. keepalived takes 0 for healthy and everything else for
// failed; it logs the number, so that different causes can be told apart.
const (
	exitHealthy    exitCode = 0 // healthy, or done
	exitUnhealthy  exitCode = 1 // unhealthy, or failed
	exitUsage      exitCode = 2 // wrong usage
	exitBadConfig  exitCode = 3 // bad configuration
	exitCannotTell exitCode = 4 // nothing could be found out
)

const exitCodesHelp = `Exit codes:
  0  healthy, or done
  1  unhealthy, or failed
  2  wrong usage
  3  bad configuration
  4  cannot tell`

// exitError carries the exit code of a failure to main. An empty message means
// that everything has been said already.
type exitError struct {
	code exitCode
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

func configError(err error) error { return &exitError{exitBadConfig, err} }

func failedError(format string, args ...any) error {
	return &exitError{exitUnhealthy, fmt.Errorf(format, args...)}
}

// codeOf gives the exit code for an error of a command. Errors that say nothing
// of their own code come from cobra, which complains about usage only.
func codeOf(err error) exitCode {
	if err == nil {
		return exitHealthy
	}
	var coded *exitError
	if errors.As(err, &coded) {
		return coded.code
	}
	return exitUsage
}

// codeOfStatus gives the exit code for what a check found.
func codeOfStatus(status checks.Status) exitCode {
	switch status {
	case checks.Pass, checks.Warn:
		return exitHealthy
	case checks.Fail:
		return exitUnhealthy
	default:
		return exitCannotTell
	}
}
