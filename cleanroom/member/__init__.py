"""What every member of a collaboration does: know the others, verify the room, talk to it."""
