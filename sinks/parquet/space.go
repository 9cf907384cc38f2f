package parquet

// cellBytes is what a cell takes in a file, roughly, where no earlier file tells.
const cellBytes = 3

// needs estimates how many bytes a generation of t will add to the disk. Files that are kept take nothing where there are links.
func (p *Publisher) needs(t, last Table, kept []*File) (need int64) {
	if kept == nil {
		return 0
	}
	perRow := float64(cellBytes * len(t.Columns))
	if last.Rows > 0 {
		total := int64(0)
		for _, f := range last.Files {
			total += f.Bytes
		}
		perRow = float64(total) / float64(last.Rows)
	}
	for i, f := range t.Files {
		switch {
		case kept[i] == nil:
			need += int64(perRow*float64(f.Rows)) + 4096
		case p.dir.plain:
			need += kept[i].Bytes
		}
	}
	if p.dir.plain {
		need *= 2 // the generation, and the copy in the place of its link
	}
	return need
}

// roomFor refuses a publication that would fill the disk: the catalog and the manifest come on top.
func (p *Publisher) roomFor(need int64) error {
	need += need/10 + 4<<20
	free, ok := p.opts.Free(p.opts.Folder)
	if !ok || free >= need {
		return nil
	}
	return p.refuse("free space there; the old publication stays readable, and versions before it go an hour after they were replaced",
		"the new files need about %d MB, %s has %d MB left", need>>20, p.opts.Folder, free>>20)
}
