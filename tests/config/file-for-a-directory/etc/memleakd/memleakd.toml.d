[scan]
