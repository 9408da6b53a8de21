package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"
)

func (a *app) configCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Check or show the configuration",
		Long:  "Check or show the configuration.\n\n" + exitCodesHelp,
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
			Long:  "Print the configuration in force, secrets masked.\n\n" + exitCodesHelp,
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
		if warner, ok := channel.(interface{ Warnings() []string }); ok {
			for _, warning := range warner.Warnings() {
				warnings = append(warnings, fmt.Errorf("%s: channel %s: %s", a.config.Path, channel.Name(), warning))
			}
		}
	}
	if err := errors.Join(warnings...); err != nil {
		return configError(err)
	}
	if err := a.mailSettingsUnread(); err != nil {
		a.log.Warn("mail", "error", err)
	}
	answer := configAnswer{Path: a.config.Path, Exists: a.config.Exists, Checks: a.config.CheckNames(), Channels: []string{}}
	for _, channel := range channels.Notifiers {
		answer.Channels = append(answer.Channels, channel.Name())
	}
	answer.Channels = append(answer.Channels, channels.Awaited...)
	a.say(answer)
	return nil
}

// configAnswer is what 'config check' says of a configuration without mistakes.
type configAnswer struct {
	Path     string   `json:"path"`
	Exists   bool     `json:"exists"`
	Checks   []string `json:"checks"`
	Channels []string `json:"channels"`
}

func (c configAnswer) String() string {
	if !c.Exists {
		return c.Path + " does not exist: the defaults are in force"
	}
	return fmt.Sprintf("%s is right: checks %s; channels %s", c.Path,
		strings.Join(c.Checks, ", "), orText(strings.Join(c.Channels, ", "), "none"))
}

// deliveryAccount is whom hacheck-deliver.service runs as.
const deliveryAccount = "hacheck"

// mailSettingsUnread says so if mail goes by the settings of a keepalived.conf
// that the account of the delivery may not read. Its folders are not looked at.
func (a *app) mailSettingsUnread() error {
	if !a.config.UsesMailDefaults() {
		return nil
	}
	account, err := user.Lookup(deliveryAccount)
	if err != nil {
		return nil // hacheck is not installed as a package
	}
	path, _, err := a.findKeepalivedConfig()
	if err != nil {
		return nil // there are no settings
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil // nor there
	}
	groups, err := account.GroupIds()
	if err != nil || readableBy(info.Mode(), info.Sys().(*syscall.Stat_t), account.Uid, groups) {
		return err
	}
	return fmt.Errorf("the account %s cannot read %s, and with it the mail settings: what the hook cannot send waits for the next hook, as hacheck-deliver.service cannot send it either; try chgrp haproxy %[2]s && chmod g+r %[2]s",
		deliveryAccount, path)
}

// readableBy reports whether a file's mode lets an account read it.
func readableBy(mode fs.FileMode, owner *syscall.Stat_t, uid string, groups []string) bool {
	switch {
	case strconv.FormatUint(uint64(owner.Uid), 10) == uid:
		return mode&0o400 != 0
	case slices.Contains(groups, strconv.FormatUint(uint64(owner.Gid), 10)):
		return mode&0o040 != 0
	default:
		return mode&0o004 != 0
	}
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
