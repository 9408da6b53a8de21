package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the build from git (see the Makefile).
var version = "development"

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and what the program is made of",
		Long:  "Print the version, the commit and what the program is made of.\n\n" + exitCodesHelp,
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return a.version() },
	}
}

func (a *app) version() error {
	about := aboutThis()
	if a.flags.output == outputJSON {
		return json.NewEncoder(a.stdout).Encode(about)
	}
	fmt.Fprint(a.stdout, about)
	return nil
}

// about says what this program is and what it was built from.
type about struct {
	Version string `json:"version"`
	// Revision is the commit, Modified whether the work tree had changes that
	// are not in it; unknown outside a repository.
	Revision string        `json:"revision,omitempty"`
	Modified bool          `json:"modified,omitempty"`
	Go       string        `json:"go"`
	Platform string        `json:"platform"`
	Modules  []aboutModule `json:"modules"`
}

type aboutModule struct {
	Path    string `json:"path"`
	Version string `json:"version"`
}

func aboutThis() about {
	this := about{
		Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Modules: []aboutModule{},
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return this
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			this.Revision = setting.Value
		case "vcs.modified":
			this.Modified = setting.Value == "true"
		}
	}
	for _, module := range info.Deps {
		this.Modules = append(this.Modules, aboutModule{module.Path, module.Version})
	}
	return this
}

func (a about) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "hacheck %s (%s, %s)\n", a.Version, a.Go, a.Platform)
	if a.Revision != "" {
		changes := ""
		if a.Modified {
			changes = " with changes"
		}
		fmt.Fprintf(&text, "commit %s%s\n", a.Revision, changes)
	}
	for _, module := range a.Modules {
		fmt.Fprintf(&text, "module %s %s\n", module.Path, module.Version)
	}
	return text.String()
}
