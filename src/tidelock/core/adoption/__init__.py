"""Other tools' migrations: one file per tool reads its layout and markers; `match` compares them with its history.

Pure: files come as path → bytes, history as rows. What each tool does was read off real runs of it (`docs/adopting/`).
"""
