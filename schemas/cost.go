package schemas

// OneParentAtATime reports whether reading the entity costs a request for each of its parents: its rows are
// reached through the parent's path, or its query takes one parent and nothing else (api.md §3).
func (e *Entity) OneParentAtATime() bool { return e.Class == ClassChild || e.Name == oneTicketAtATime }

// TypicalRows is how many rows the catalogue expects of the entity in a tenant of a few dozen technicians: a
// guess by its size, for plans made before anybody has counted.
func (e *Entity) TypicalRows() int64 {
	switch e.Size {
	case "tiny":
		return 50
	case "small":
		return 500
	case "large":
		return 100_000
	case "huge":
		return 1_000_000
	default:
		return 5_000
	}
}
