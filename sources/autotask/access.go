package autotask

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/atsync/atsync/pipeline"
	"github.com/atsync/atsync/schemas"
)

// Access asks what the API user may read of an entity (api.md §6). Of entities without a query of their own the
// answer says nothing, so it is not asked for.
func (c *Client) Access(ctx context.Context, entity *schemas.Entity) (pipeline.Access, error) {
	if entity.Class == schemas.ClassChild {
		return pipeline.AccessUnknown, nil
	}
	if err := c.ready(ctx); err != nil {
		return pipeline.AccessUnknown, err
	}
	access := pipeline.AccessUnknown
	rq := &request{entity: entity.Name, op: opAccess, method: http.MethodGet, limit: c.limits.MetadataBytes,
		path: entity.Path + "/entityInformation"}
	rq.check = func(body []byte) (err error) {
		access, err = parseAccess(body)
		return err
	}
	ans, err := c.call(ctx, rq, &tries{})
	c.drop(ans)
	if status, ok := errors.AsType[*statusError](err); ok && status.status == http.StatusNotFound {
		return pipeline.AccessUnknown, nil // the entity is there, this route is not
	}
	return access, err
}

// parseAccess reads entityInformation. The access is a word, a number or a flag (api.md §6).
func parseAccess(body []byte) (pipeline.Access, error) {
	var a struct {
		Info *struct {
			CanQuery json.RawMessage `json:"canQuery"`
			Access   json.RawMessage `json:"userAccessForQuery"`
		} `json:"info"`
	}
	if err := json.Unmarshal(body, &a); err != nil || a.Info == nil {
		return pipeline.AccessUnknown, errors.New("the answer holds no entity information")
	}
	word := func(raw json.RawMessage) string { return strings.ToLower(strings.Trim(string(raw), `" `)) }
	switch word(a.Info.CanQuery) {
	case "false", "0":
		return pipeline.AccessNone, nil
	}
	switch word(a.Info.Access) {
	case "none", "0", "false":
		return pipeline.AccessNone, nil
	case "all", "1", "true":
		return pipeline.AccessAll, nil
	case "restricted", "2":
		return pipeline.AccessRestricted, nil
	}
	return pipeline.AccessUnknown, nil
}
