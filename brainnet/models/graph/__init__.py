"""Graph networks that stage a subject from its brain networks."""
