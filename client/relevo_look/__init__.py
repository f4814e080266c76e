"""What the faces of Relevo have in common: words and colours (`look`), and units (`units`).

Terminals, pictures and pages import it; it imports none of them.
"""
