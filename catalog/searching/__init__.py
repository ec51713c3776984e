"""Finding songs by what people type: what is indexed (`documents`), what is asked (`backend`), and the engines behind it."""
