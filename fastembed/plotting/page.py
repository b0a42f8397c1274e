def write_page(): raise NotImplementedError
