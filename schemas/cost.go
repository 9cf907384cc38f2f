package schemas

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
