"""Finds people in visible/infrared pairs: Faster R-CNN with MSP, MACL and DHN, in two stages."""
