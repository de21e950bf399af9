"""A network as a file: ours, its authors', ImageNet's, the Hub's, and the one that ships."""
