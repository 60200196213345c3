"""The lab, floor 5: what is claimed of the family, as experiments that anyone can run again."""
