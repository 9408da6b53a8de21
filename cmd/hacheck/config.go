package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"
)

func (a *app) configCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Check or show the configuration",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usageError("config needs a word: check or show") },
	}
	command.AddCommand(
		&cobra.Command{
			Use:   "check",
			Short: "Report every mistake in the configuration",
			Long: `Report every mistake in the configuration with file, line and column. Files it
names, such as password files, are looked at too.

` + exitCodesHelp,
			Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error { return a.configCheck() },
		},
		&cobra.Command{
			Use:   "show",
			Short: "Print the configuration in force, secrets masked",
			Args:  cobra.NoArgs,
			RunE:  func(*cobra.Command, []string) error { return a.configShow() },
		},
	)
	return command
}

func (a *app) configCheck() error {
	if err := errors.Join(a.config.CheckErrors(), a.config.NotifyErrors()); err != nil {
		return configError(err)
	}
	channels, err := a.config.InForce(a.mailDefaults(context.Background()), version)
	if err != nil {
		return configError(err)
	}
	var warnings []error
	if channels.Problem != nil {
		warnings = append(warnings, channels.Problem)
	}
	for _, channel := range channels.Notifiers {
		if files, ok := channel.(interface{ Warnings() []string }); ok {
			for _, warning := range files.Warnings() {
				warnings = append(warnings, fmt.Errorf("%s: channel %s: %s", a.config.Path, channel.Name(), warning))
			}
		}
	}
	if err := errors.Join(warnings...); err != nil {
		return configError(err)
	}
	if !a.config.Exists {
		fmt.Fprintf(a.stdout, "%s does not exist: the defaults are in force\n", a.config.Path)
		return nil
	}
	var names []string
	for _, channel := range channels.Notifiers {
		names = append(names, channel.Name())
	}
	names = append(names, channels.Awaited...)
	if len(names) == 0 {
		names = []string{"none"}
	}
	fmt.Fprintf(a.stdout, "%s is right: checks %s; channels %s\n", a.config.Path,
		strings.Join(a.config.CheckNames(), ", "), strings.Join(names, ", "))
	return nil
}

func (a *app) configShow() error {
	shown, err := a.config.Show()
	if err != nil {
		return failedError("cannot show the configuration: %w", err)
	}
	if a.flags.output == outputJSON {
		var tree any
		if err := yaml.Unmarshal(shown, &tree); err != nil {
			return failedError("cannot show the configuration: %w", err)
		}
		return json.NewEncoder(a.stdout).Encode(tree)
	}
	if !a.config.Exists {
		fmt.Fprintf(a.stdout, "# %s does not exist: these are the defaults\n", a.config.Path)
	}
	_, err = a.stdout.Write(shown)
	return err
}
