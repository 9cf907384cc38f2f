package alert

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/cmd/atsync/internal/daemon"
)

// active is an alert that is wrong, or was and has not been told to be right again.
type active struct {
	Kind    Kind      `json:"kind"`
	Tenant  string    `json:"tenant,omitempty"`
	Summary string    `json:"summary"`
	Remedy  string    `json:"remedy,omitempty"`
	Since   time.Time `json:"since"`
	EndedAt time.Time `json:"ended_at,omitzero"`
	Event   bool      `json:"event,omitempty"`
	SeenAt  time.Time `json:"seen_at"` // when it was wrong last, within an hour
}

// state is what has to be known after a restart. It holds no secret. It is not safe for concurrent use.
type state struct {
	Active map[string]*active              `json:"active"` // by key
	Told   map[string]map[string]time.Time `json:"told"`   // by target and key: when last
	Missed map[string]time.Time            `json:"missed"` // tables that were never read, by tenant and entity: since when that is known
	Looked map[string]time.Time            `json:"looked"` // by tenant: runs that ended up to then are old news
}

// How long an alert is kept that no rule speaks of any more.
const (
	eventAge = 24 * time.Hour     // what is told is not told anew within it
	quotaAge = 2 * time.Hour      // longer than any window
	guardAge = 8 * 24 * time.Hour // what is read whole at all is so once a week
)

// readState reads the file; none is no state. With an error comes an empty state.
func readState(file string) (*state, error) {
	s := &state{}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, s)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err != nil:
		s, err = &state{}, fmt.Errorf("%s: %w", file, err)
	}
	if s.Active == nil {
		s.Active = map[string]*active{}
	}
	if s.Told == nil {
		s.Told = map[string]map[string]time.Time{}
	}
	if s.Missed == nil {
		s.Missed = map[string]time.Time{}
	}
	if s.Looked == nil {
		s.Looked = map[string]time.Time{}
	}
	maps.DeleteFunc(s.Active, func(_ string, a *active) bool { return a == nil })
	return s, err
}

// write replaces the file, whole or not at all, if it would change. It returns what is in it then.
func (s *state) write(file string, was []byte) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil || bytes.Equal(text, was) {
		return was, err
	}
	if err := os.WriteFile(file+".new", append(text, '\n'), 0o600); err != nil {
		return was, err
	}
	return text, os.Rename(file+".new", file)
}

// apply takes over what a look has found. Tenants that are not configured any more are forgotten, and their alerts with them.
func (s *state) apply(found []finding, configured []string, now time.Time) {
	for _, f := range found {
		a := s.Active[f.key]
		switch {
		case f.verdict == wrong && a == nil:
			s.Active[f.key] = &active{Kind: f.kind, Tenant: f.tenant, Summary: f.summary, Remedy: f.remedy, Since: now, Event: f.event, SeenAt: now}
		case f.verdict == wrong:
			a.Summary, a.Remedy, a.EndedAt = f.summary, f.remedy, time.Time{}
			if f.event || now.Sub(a.SeenAt) >= time.Hour { // not each time: it is written
				a.SeenAt = now
			}
		case f.verdict == right && a != nil && a.EndedAt.IsZero():
			a.EndedAt = now
		}
	}
	gone := func(tenant string) bool { return tenant != "" && !slices.Contains(configured, tenant) }
	maps.DeleteFunc(s.Active, func(_ string, a *active) bool {
		age := now.Sub(a.SeenAt)
		return gone(a.Tenant) || a.Event && age > eventAge || a.Kind == Guard && age > guardAge || a.Kind == Quota && age > quotaAge
	})
	maps.DeleteFunc(s.Looked, func(tenant string, _ time.Time) bool { return gone(tenant) })
	maps.DeleteFunc(s.Missed, func(id string, _ time.Time) bool {
		tenant, _, _ := strings.Cut(id, " ")
		return gone(tenant)
	})
}

// due is what a target is to be told now.
func (s *state) due(name string, target config.AlertTarget, repeat time.Duration, now time.Time) (keys []string, notices []Notice) {
	for _, key := range slices.Sorted(maps.Keys(s.Active)) {
		a := s.Active[key]
		told, ok := s.Told[name][key]
		if len(target.Kinds) > 0 && !slices.Contains(target.Kinds, string(a.Kind)) && (!ok || a.EndedAt.IsZero()) {
			continue // who was told is told of the end
		}
		n := Notice{Kind: a.Kind, Tenant: a.Tenant, Summary: a.Summary, Remedy: a.Remedy, Since: a.Since.UTC(), EndedAt: a.EndedAt}
		switch ended := !a.EndedAt.IsZero(); {
		case ended && ok:
			n.State = Resolved
		case ended, a.Event && ok:
			continue
		case !ok && a.Event:
			n.State = Event
		case !ok:
			n.State = Firing
		case repeat > 0 && now.Sub(told) >= repeat:
			n.State = Reminder
		default:
			continue
		}
		keys, notices = append(keys, key), append(notices, n)
	}
	return keys, notices
}

// firing returns what is wrong and who was told of it, the newest first.
func (s *state) firing() []daemon.Alert {
	out := []daemon.Alert{}
	for _, key := range slices.Sorted(maps.Keys(s.Active)) {
		a := s.Active[key]
		if !a.EndedAt.IsZero() {
			continue
		}
		one := daemon.Alert{Kind: string(a.Kind), Tenant: a.Tenant, Summary: a.Summary, Remedy: a.Remedy, Since: a.Since.UTC(), Event: a.Event, Told: []daemon.Told{}}
		for _, target := range slices.Sorted(maps.Keys(s.Told)) {
			if at, ok := s.Told[target][key]; ok {
				one.Told = append(one.Told, daemon.Told{Target: target, At: at.UTC()})
			}
		}
		out = append(out, one)
	}
	slices.SortStableFunc(out, func(a, b daemon.Alert) int { return b.Since.Compare(a.Since) })
	return out
}

// tell notes that a target was told.
func (s *state) tell(name string, keys []string, notices []Notice, now time.Time) {
	if s.Told[name] == nil {
		s.Told[name] = map[string]time.Time{}
	}
	for i, key := range keys {
		if notices[i].State == Resolved {
			delete(s.Told[name], key)
		} else {
			s.Told[name][key] = now
		}
	}
}

// tidy forgets what nobody has to be told of any more.
func (s *state) tidy(targets map[string]config.AlertTarget) {
	maps.DeleteFunc(s.Told, func(name string, told map[string]time.Time) bool {
		maps.DeleteFunc(told, func(key string, _ time.Time) bool { return s.Active[key] == nil })
		_, ok := targets[name]
		return !ok
	})
	maps.DeleteFunc(s.Active, func(key string, a *active) bool {
		if a.EndedAt.IsZero() {
			return false
		}
		for _, told := range s.Told {
			if _, ok := told[key]; ok {
				return false
			}
		}
		return true
	})
}
