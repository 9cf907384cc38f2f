package duckdb

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// holderSuffix names the file beside a warehouse that says who has it open. It is no lock: DuckDB's own is. It only
// tells more than that does, and one that a killed process left behind is known by its process number.
const holderSuffix = ".holder"

// holder is a process that has a warehouse open.
type holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Since   time.Time `json:"since"`
	Command string    `json:"command"`
}

// String is "atsync sync --tenant acme, process 4242 on host since 2026-03-02 12:00:00Z".
func (h holder) String() string {
	return fmt.Sprintf("%s, process %d on %s since %s", h.Command, h.PID, h.Host, h.Since.UTC().Format("2006-01-02 15:04:05Z"))
}

// writeHolder notes that this process has the warehouse open.
func writeHolder(path string, now time.Time) error {
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	command := append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...)
	text, err := json.Marshal(holder{PID: os.Getpid(), Host: host, Since: now.UTC(), Command: strings.Join(command, " ")})
	if err != nil {
		return err
	}
	return os.WriteFile(path+holderSuffix, text, 0o600)
}

// removeHolder forgets the note, while the warehouse still is open.
func removeHolder(path string) error {
	if err := os.Remove(path + holderSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// readHolder returns who has the warehouse open, if the note is by the process that DuckDB names, or by one of
// another host, whose number says nothing here.
func readHolder(path, pid string) (h holder, ok bool) {
	text, err := os.ReadFile(path + holderSuffix)
	if err != nil || json.Unmarshal(text, &h) != nil {
		return h, false
	}
	host, err := os.Hostname()
	return h, fmt.Sprint(h.PID) == pid || err == nil && h.Host != host
}
