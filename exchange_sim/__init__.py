"""An exchange to practise on: archives, checksums and REST in Binance's own formats, from a seed or a folder."""
