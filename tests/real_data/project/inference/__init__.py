"""Operations: which results are stored, where and when. Feature code lies elsewhere and knows nothing of it."""
