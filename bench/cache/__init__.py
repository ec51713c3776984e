"""What the edge's cache is worth: our eviction against others on the same music, and a mesh against caches that do not talk.

Everything is simulated, from fixed seeds, with the policies that production runs. No sockets, no audio.
"""
