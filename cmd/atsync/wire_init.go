package main

import (
	"context"
	"errors"

	"github.com/atsync/atsync/cmd/atsync/internal/config"
	"github.com/atsync/atsync/sources/autotask"
)

// zone is where a tenant's API is.
type zone struct {
	Name string `json:"name"` // "America East 2"; empty if the zone was given
	URL  string `json:"url"`  // REST root
}

// zoneOf finds the zone of an API user. Nothing but the user name is sent.
func (w wiring) zoneOf(ctx context.Context, cfg config.TenantConfig, username string) (z zone, err error) {
	unknown := "not known yet" // what zoneInformation does not want to know
	client, err := autotask.New(w.sourceConfig(cfg, autotask.NewCredentials(username, unknown, unknown)))
	if err != nil {
		return z, err
	}
	found, err := client.Zone(ctx)
	return zone{found.Name, found.BaseURL}, errors.Join(err, client.Close())
}

// diagnose says which of a tenant's credentials look mixed up.
func (w wiring) diagnose(ctx context.Context, cfg config.TenantConfig) ([]hint, error) {
	creds, err := w.credentials(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return append([]hint{}, creds.Diagnose()...), nil
}

// endHold ends the hold of a tenant, if there is one.
func (w wiring) endHold(ctx context.Context, cfg config.TenantConfig) error {
	_, keeper, err := w.recall(ctx, cfg, nil)
	if err != nil {
		return err
	}
	hold, err := keeper.Hold(ctx)
	if err != nil || hold == nil {
		return err
	}
	return keeper.SetHold(ctx, nil)
}
