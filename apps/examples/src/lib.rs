//! examples/tip-jar
